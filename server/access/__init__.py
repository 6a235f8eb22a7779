"""Who may do what: SMART scopes, what a request needs of them, and who asks."""
