"""Who may use the dashboard and the JSON API when `auth.mode` is `password`.

Owns the password (its hash), the sessions that came of it, how often it may be tried, and which
paths need what. Refuses to know HTTP: `server.web.lock` asks it. API keys belong to the gateway;
their scopes `read` and `admin` open the same doors.
"""
