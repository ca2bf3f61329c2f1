"""The model zoo: networks by name, bundled weights, and how weights are published."""
