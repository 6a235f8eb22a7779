"""The rules of the field, pure: values in, values out, no clock, no wire."""
