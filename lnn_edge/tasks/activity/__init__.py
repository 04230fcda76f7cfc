"""Human activity from an IMU."""
