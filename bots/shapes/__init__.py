"""Vendors' JSON, as the question and the answer that it stands for; no wire, no settings.

Each module reads and writes one published shape into the values of `bots.domain.eligibility`, so
that what follows never knows by which route an answer came.
"""
