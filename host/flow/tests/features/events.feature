Feature: Events
  What the kit leaves out of emit and listen: filters, correlation, strategies and iteration.

  Scenario: Listen To One
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: listen-one
      version: '1.0.0'
    do:
      - wait:
          listen:
            to:
              one:
                with:
                  type: com.example.order.paid
                  data: ${ .total > 10 }
    """
    And given these events come:
    """yaml
    - type: com.example.order.paid
      data: { total: 9 }
    - type: com.example.order.paid
      data: { total: 11 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    - total: 11
    """

  Scenario: Listen To All Of One Room
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: listen-all
      version: '1.0.0'
    do:
      - readings:
          listen:
            to:
              all:
                - with: { type: temperature }
                  correlate: { room: { from: .room } }
                - with: { type: humidity }
                  correlate: { room: { from: .room } }
    """
    And given these events come:
    """yaml
    - { type: temperature, room: a, data: 20 }
    - { type: humidity, room: b, data: 40 }
    - { type: humidity, room: a, data: 50 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    [ 20, 50 ]
    """

  Scenario: Listen Until, For Each
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: listen-until
      version: '1.0.0'
    do:
      - payments:
          listen:
            to:
              any:
                - with: { type: payment }
              until: ([ .[].amount ] | add) >= 10
          foreach:
            item: payment
            at: number
            do:
              - book:
                  set:
                    amount: ${ $payment.amount }
                    number: ${ $number }
    """
    And given these events come:
    """yaml
    - { type: payment, data: { amount: 4 } }
    - { type: refund, data: { amount: 400 } }
    - { type: payment, data: { amount: 6 } }
    - { type: payment, data: { amount: 1 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    - { amount: 4, number: 0 }
    - { amount: 6, number: 1 }
    """
    And book should run 2 times

  Scenario: Listen Waits
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: listen-waits
      version: '1.0.0'
    do:
      - never:
          listen:
            to:
              one:
                with: { type: never }
    """
    When the workflow is executed
    Then the workflow should be waiting
