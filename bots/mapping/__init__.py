"""FHIR JSON to domain values and back, pure."""
