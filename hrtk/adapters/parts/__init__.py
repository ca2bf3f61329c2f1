"""Building blocks of adapters."""
