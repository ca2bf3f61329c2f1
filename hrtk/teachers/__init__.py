"""Teachers: networks that label frames for a student."""
