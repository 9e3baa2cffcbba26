"""Recordings of robots: videos cut into episodes, with states and actions."""
