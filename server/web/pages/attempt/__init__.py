"""The pages under `/try`: chat, transcribe, speak, compare; each with code that does the same.

Owns their forms, their views and the way of their scripts to the gateway (`door`). What the scripts
send goes to the same gateway as everybody's requests, under the name `dashboard`. A page keeps what
was said in itself: nothing of it is stored here.
"""
