"""Numbers and frames as pictures; knows no model, loads no library until it draws."""
