"""The interactions of FHIR's RESTful API, one file each; `_write` is the only way to write."""
