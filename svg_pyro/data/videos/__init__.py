"""Videos from files: anybody's, and the KTH actions."""
