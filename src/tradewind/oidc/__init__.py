"""Login of people by an identity provider (OpenID Connect): what both pages share."""
