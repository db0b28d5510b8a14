"""Settings of the property-based tests."""

from hypothesis import HealthCheck, settings

# How quickly values are drawn says something of the machine, and of how much the process has imported before.
settings.register_profile("tensaw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tensaw")
