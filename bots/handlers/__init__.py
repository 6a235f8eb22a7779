"""The bots, one file each; registry.py names them. A bot never imports another."""
