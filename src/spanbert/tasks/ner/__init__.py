"""Entities: which spans of a text name something, and what kind of thing."""
