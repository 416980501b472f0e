"""The pages of the settings: hosts, services, engine, gateway and the rest, keys, backup, about.

Forms are made from the schema of `config.yaml`, so that a new setting has its field without a line
here. Owns what is drawn and how forms are read; saving is `config.store`'s, for the JSON API too.
"""
