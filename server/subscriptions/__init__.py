"""Rest-hook Subscriptions: read at the door, matched at the write, delivered from the outbox."""
