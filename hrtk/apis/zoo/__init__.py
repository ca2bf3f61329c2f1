"""The model zoo: networks by name, bundled weights, and publishing of weights."""
