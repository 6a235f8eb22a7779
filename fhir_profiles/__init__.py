"""The vocabulary that server and bots share: systems, codes, readers of FHIR JSON, artefacts."""
