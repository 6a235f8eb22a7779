"""Whether a body is a valid R4 resource, and every place where it is not."""
