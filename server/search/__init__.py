"""FHIR search: from parameters and expressions to index rows, SQL and in-memory matching."""
