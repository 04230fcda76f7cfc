"""The rhythm of a whole single-lead ECG."""
