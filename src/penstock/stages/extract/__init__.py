"""Extraction: what a source says in fields (structured) and what its text names (dictionary), as entities and claims
with their evidence.

One extractor may follow another: it adds to what that one gave, and all of it stays.

The structured extractor guesses nothing from prose: where the text of the same document names what a field names, the
sentence that does is the evidence; else the field's value is.

| subject | predicate | object | comes from |
|---|---|---|---|
| Study | `studies` | Condition | condition; mesh about condition |
| Study | `tests` | Drug, Concept | intervention (a Concept unless it is a drug); mesh about intervention |
| Study | `sponsored_by` | Organization | sponsor, collaborator; attributes: role, class |
| Drug | `investigated_for` | Condition | a study that has both; attributes: phase, status |
| Label | `labels` | Drug | generic_name, else brand_name, else ingredient |
| Label | `made_by` | Organization | manufacturer |
| Drug | `has_brand_name` | Drug | generic_name with brand_name |
| Drug | `has_ingredient` | Drug | ingredient; identifiers: unii |
| Drug | `is_form_of` | Drug | a drug's name that ends in a salt: metformin hydrochloride, metformin |
| Drug | `in_class` | Concept | pharm_class; attributes: type |
| Drug | `indicated_for` | sentence | indication |
| Drug | `contraindicated_in` | sentence | contraindication |
| Drug | `has_boxed_warning` | sentence | warning of the type boxed |
| Drug | `has_warning` | sentence | warning |
| Drug | `has_adverse_reaction` | sentence | adverse_reaction |
| Drug | `has_interaction` | sentence | interaction |
| any document | `about` | Condition, Drug, Substance, Concept | mesh, chemical, concept, keyword |
| Study | `led_by` | Person | author; attributes: position |
| any other document | `written_by` | Person | author; attributes: position |
| Person | `affiliated_with` | Organization | affiliation that an author names, or that of an only author |
| any document | `comes_from` | Organization | affiliation that no author names |
| any document | `funded_by` | Organization | funder; attributes: grant |
| any document | `cites` | Publication, Study | cites and references that state an identifier |
| any document | `mentions` | what the vocabulary says it is | dictionary: a name in its text; attributes: count |

The document itself is a Study, Publication, Label or Page, with the identifiers that its type goes by.
"""

from __future__ import annotations

from penstock.stages.extract.structured import StructuredExtractor

__all__ = ["StructuredExtractor"]
