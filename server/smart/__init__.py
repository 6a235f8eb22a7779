"""The authorization server of SMART on FHIR: programs prove who they are and get short tokens."""
