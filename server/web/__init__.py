"""The people's door: pages rendered on the server from stored resources only."""
