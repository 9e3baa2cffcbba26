"""What every other room may use: files, signals, progress, memory and modes."""
