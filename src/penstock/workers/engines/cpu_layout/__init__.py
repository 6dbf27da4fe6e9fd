"""From runs of characters to elements: runs → columns → rows → blocks → roles. Only `reading` and `marks` know
pdfium.

Lengths are points. A *frame* is the page turned by quarters until a text's lines run from left to right; its origin is
the top left corner, y grows downwards.
"""
