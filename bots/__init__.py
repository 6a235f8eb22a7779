"""The subscribers: bots that ask payers and write what they learn back as FHIR."""
