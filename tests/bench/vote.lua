-- What wrk posts: the same ballot again and again.
wrk.method = "POST"
wrk.body = "choice=1"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
