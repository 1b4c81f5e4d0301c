"""nginx on a machine of its own, in front of polls on several hosts."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.network import Machine
from tests.support.processes import eventually

NGINX = """
daemon off;
user root;
pid nginx.pid;
worker_processes 1;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream polls {
        SERVERS
        keepalive 32;
    }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_connect_timeout 1s;
    proxy_read_timeout 3s;
    server {
        listen 80;
        location / {
            proxy_pass http://polls;
        }
        location ~ ^/poll/[0-9]+/vote$ {
            error_page 418 = @retry;
            if ($cookie_voter) { return 418; }
            proxy_pass http://polls;
        }
        # With a voter cookie, a retry at the other host is the same ballot.
        location @retry {
            proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent;
            proxy_next_upstream_tries 2;
            proxy_pass http://polls;
        }
    }
}
"""


@contextmanager
def nginx(folder: Path, machine: Machine, applications: Sequence[str]) -> Iterator[None]:
    """Run nginx on a machine, port 80, in front of these URLs."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed (on Debian: apt-get install nginx)")
    folder.mkdir()
    servers = " ".join(f"server {urlsplit(url).netloc} max_fails=1 fail_timeout=1s;" for url in applications)
    (folder / "nginx.conf").write_text(NGINX.replace("SERVERS", servers))
    arguments = [*machine.inside, "nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with subprocess.Popen(arguments) as process:
        try:
            assert eventually((folder / "nginx.pid").exists)
            yield
        finally:
            process.terminate()
