"""Relations between two spans of a text: from data file to prediction."""
