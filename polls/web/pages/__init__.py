"""Code shared by all pages: base views, rendering, languages, error pages, sessions and voters."""
