"""The FHIR R4 server: storage, search, validation, subscriptions and the pages for people."""
