"""Requests and responses.

`routes` maps URLs to the views of `public`, `manage`, `admin` and `ops`, which don't import each other. All build on
`pages` (rendering, sessions, error pages), and that on `http` (the protocol). `middlewares` wraps every view.
"""
