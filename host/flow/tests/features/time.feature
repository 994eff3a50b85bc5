Feature: Time
  What the kit leaves out of waits, timeouts, retries and schedules.

  Scenario: Wait
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: wait
      version: '1.0.0'
    do:
      - pause:
          wait:
            minutes: 2
      - goOn:
          set:
            done: true
    """
    And given every wait suspends the workflow
    When the workflow is executed
    Then the workflow should be waiting
    And goOn should not run
    When the workflow is executed again
    Then the workflow should complete with output:
    """yaml
    done: true
    """
    And the workflow should have taken 120 seconds

  Scenario: Task Timeout
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: timeout
      version: '1.0.0'
    use:
      timeouts:
        short:
          after: PT5S
    do:
      - slow:
          do:
            - never:
                wait: PT1H
          timeout: short
    """
    When the workflow is executed
    Then the workflow should fault with 'errors/timeout' '408'
    And the workflow should have taken 5 seconds

  Scenario: Caught Timeout
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: caught-timeout
      version: '1.0.0'
    do:
      - tryIt:
          try:
            - slow:
                wait: PT1H
                timeout:
                  after: { seconds: 5 }
          catch:
            errors:
              with:
                type: https://serverlessworkflow.io/spec/1.0.0/errors/timeout
                status: 408
            as: err
            do:
              - tooLate:
                  set:
                    at: ${ $err.instance }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    at: /do/0/tryIt/try/0/slow
    """

  Scenario: Workflow Timeout
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: workflow-timeout
      version: '1.0.0'
    timeout:
      after: PT1M
    do:
      - one:
          call: demo/slow
      - two:
          call: demo/slow
    """
    And given every call takes 40 seconds
    When the workflow is executed
    Then the workflow should fault with 'errors/timeout' '408'
    And the workflow should have taken 60 seconds

  Scenario: Retry With Exponential Backoff
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: retry
      version: '1.0.0'
    use:
      retries:
        patient:
          delay: PT2S
          backoff:
            exponential: {}
          limit:
            attempt:
              count: 3
    do:
      - tryIt:
          try:
            - fails:
                raise:
                  error:
                    type: https://serverlessworkflow.io/spec/1.0.0/errors/communication
                    status: 503
          catch:
            errors:
              with:
                status: 503
            retry: patient
    """
    When the workflow is executed
    Then the workflow should fault with 'errors/communication' '503'
    And fails should run 4 times
    And the workflow should have taken 14 seconds

  Scenario: Retry Limited In Duration
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: retry-duration
      version: '1.0.0'
    do:
      - tryIt:
          try:
            - fails:
                raise:
                  error:
                    type: https://serverlessworkflow.io/spec/1.0.0/errors/communication
                    status: 503
          catch:
            retry:
              delay: PT4S
              backoff:
                linear: {}
              limit:
                duration: PT20S
            do:
              - giveUp:
                  set:
                    gaveUp: true
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    gaveUp: true
    """
    And fails should run 3 times
    And the workflow should have taken 12 seconds

  Scenario: Schedule By Cron
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: cron
      version: '1.0.0'
      metadata:
        timezone: Europe/Berlin
    schedule:
      cron: 0 8 * * MON-FRI
    do:
      - tell:
          set:
            now: true
    """
    Then the workflow should next start at '2026-03-30T06:00:00Z' after '2026-03-27T07:00:00Z'

  Scenario: Schedule Every
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: every
      version: '1.0.0'
    schedule:
      every:
        minutes: 15
    do:
      - tell:
          set:
            now: true
    """
    Then the workflow should next start at '2026-03-27T07:15:00Z' after '2026-03-27T07:00:00Z'
