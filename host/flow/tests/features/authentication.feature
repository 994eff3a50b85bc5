Feature: Authentication
  What the kit leaves out of authentication policies.

  Scenario: Basic Authentication Out Of The Reusable Components
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: basic
      version: '1.0.0'
    use:
      authentications:
        desk:
          basic:
            username: desk
            password: ${ .password }
    do:
      - login:
          call: http
          with:
            method: get
            endpoint:
              uri: https://httpbin.org/basic-auth/desk/secret
              authentication:
                use: desk
    """
    And given the workflow input is:
    """yaml
    password: secret
    """
    When the workflow is executed
    Then the workflow should complete
    And the workflow output should have a 'user' property with value:
    """yaml
    desk
    """

  Scenario: A Wrong Password
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: wrong-password
      version: '1.0.0'
    do:
      - login:
          call: http
          with:
            method: get
            endpoint:
              uri: https://httpbin.org/basic-auth/desk/secret
              authentication:
                basic:
                  username: desk
                  password: guessed
    """
    When the workflow is executed
    Then the workflow should fault with 'errors/communication' '401'

  Scenario: Secrets Are Named, Never Seen
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: secrets
      version: '1.0.0'
    use:
      secrets:
        - shop
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint:
              uri: https://petstore.swagger.io/v2/pet/1
              authentication:
                bearer:
                  use: shop
    """
    When the workflow is executed
    Then the workflow should complete
    And the request should carry 'Secret { name: \"shop\"'

  Scenario: A Secret In Data Is Refused
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: leak
      version: '1.0.0'
    use:
      secrets:
        - shop
    do:
      - leak:
          set:
            key: ${ $secrets.shop }
    """
    When the workflow is deployed
    Then the workflow should be refused with:
    """
    $secrets is not known here; an expression never sees a secret
    """

  Scenario: OAuth 2.0 Client Credentials
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: oauth2
      version: '1.0.0'
    use:
      secrets:
        - shop
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint:
              uri: https://petstore.swagger.io/v2/pet/1
              authentication:
                oauth2:
                  authority: https://identity.example.com
                  grant: client_credentials
                  client:
                    id: desk
                    secret: ${ $secrets.shop.key }
                  scopes: [ orders ]
    """
    When the workflow is executed
    Then the workflow should complete
    And the request should carry 'token_path: \"/oauth2/token\"'
