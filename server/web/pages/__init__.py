"""The dashboard: pages and fragments as HTML. Thin: memory -> frozen view -> template -> answer.

One dataclass per template. The first page, the answer to a form and what an event makes a browser
fetch again are the same fragment drawn from the same view. Refuses to touch a host on a GET.
"""
