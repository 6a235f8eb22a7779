"""The outside world in a box: a clearinghouse and a mail relay that answer from fixtures.

It imports nothing of the product and is never imported by it: what it says on the wire is written
down in fixtures/, so that our codec is not tested against itself.
"""
