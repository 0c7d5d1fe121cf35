"""The service: predictions over HTTP, and the web page; needs the extra `serve`."""
