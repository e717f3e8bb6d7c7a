"""HTTP: the page, the API, WHIP and WHEP. Imports `stream`; media never passes here, and no state is kept here."""
