"""The HTTP face: JSON API, events, health, and the layers every request passes.

Owns parsing, the guard against foreign web pages, request ids, and how answers are drawn. Thin:
a route parses, calls one service and renders. Refuses to decide anything about models or hosts.
"""
