"""A peer that behaves on the wire as the archived Uptane reference implementation did and shares no code with ours.

Where its behaviour is a known weakness of the archived implementation, the weakness is kept: the peer exists to be
talked to, never to be trusted.
"""
