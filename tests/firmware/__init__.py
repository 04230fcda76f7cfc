"""Programs made of the firmware, and a bare wire to them, for its tests."""
