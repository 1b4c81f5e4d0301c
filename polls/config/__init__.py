"""Configuration: the settings, their schema, and the loader of the YAML file."""
