"""The FHIR door: HTTP in, interactions, HTTP out."""
