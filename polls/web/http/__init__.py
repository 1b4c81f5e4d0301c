"""The HTTP protocol, without any page: cookies, caching, proxies, security headers, forms, limits and logs."""
