"""Monitoring for operators: health checks and metrics."""
