Feature: Run, Fork And Extensions
  What the kit leaves out of processes, branches, extensions, catalogs and lifecycle events.

  Scenario: Run Workflow
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: run-workflow
      version: '1.0.0'
    do:
      - child:
          run:
            workflow:
              namespace: default
              name: child
              version: '1.0.0'
              input:
                order: ${ .id }
          output:
            as: .input
    """
    And given the workflow input is:
    """yaml
    id: 7
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    order: 7
    """

  Scenario: Run Workflow Without Waiting
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: run-workflow-async
      version: '1.0.0'
    do:
      - child:
          run:
            workflow:
              namespace: default
              name: child
              version: latest
            await: false
    """
    And given the workflow input is:
    """yaml
    id: 7
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    id: 7
    """
    And the host should have been asked for 'subflow' 'default/child None {} false'

  Scenario: Run Script
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: run-script
      version: '1.0.0'
    do:
      - script:
          run:
            script:
              language: javascript
              arguments:
                - hello
                - ${ .who }
              code: |
                const [_, __, arg0, arg1] = process.argv;
                console.log(arg0, arg1)
            return: all
    """
    And given the workflow input is:
    """yaml
    who: world
    """
    When the workflow is executed
    Then the workflow should complete
    And the workflow output should have properties 'code', 'stdout', 'stderr'
    And the host should have been asked for 'script' '["hello", "world"]'

  Scenario: Run Shell Is Refused
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: run-shell
      version: '1.0.0'
    do:
      - shell:
          run:
            shell:
              command: echo
    """
    When the workflow is deployed
    Then the workflow should be refused with:
    """
    feature:10:15 /do/0/shell/run/shell: `run: shell` is refused by the profile (authorization, 403)
    """

  Scenario: A Catalog Is Refused
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: catalog
      version: '1.0.0'
    use:
      catalogs:
        global:
          endpoint:
            uri: https://catalog.example.com
    do:
      - log:
          call: log:0.5.2@global
    """
    When the workflow is deployed
    Then the workflow should be refused with:
    """
    `use.catalogs` is refused, because only installed plugins are called, whose digests are pinned
    """

  Scenario: The Default Catalog Holds The Plugins
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: default-catalog
      version: '1.0.0'
    do:
      - save:
          call: crm/upsert-contact:^1.2@default
          with:
            name: Ann
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    name: Ann
    """

  Scenario: Fork Joins Its Branches
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: fork
      version: '1.0.0'
    do:
      - both:
          fork:
            branches:
              - left:
                  set:
                    side: left
              - right:
                  set:
                    side: right
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    - side: left
    - side: right
    """

  Scenario: An Extension Mocks A Service
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: mock
      version: '1.0.0'
    use:
      extensions:
        - mockService:
            extend: call
            when: $task.call == "http" and ($task.with.endpoint.uri | startswith("https://mocked.service.com"))
            before:
              - intercept:
                  set:
                    statusCode: 200
                    content:
                      foo: bar
                  then: exit
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint:
              uri: https://mocked.service.com/sample
            output: response
          output:
            as: .content
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    foo: bar
    """
    And intercept should run after ask

  Scenario: Lifecycle Of Tasks
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: default
      name: lifecycle
      version: '1.0.0'
    do:
      - skipped:
          if: 'false'
          set: { x: 1 }
      - guarded:
          try:
            - fails:
                raise:
                  error:
                    type: https://example.com/errors/no
                    status: 418
          catch:
            retry:
              delay: PT1S
              limit: { attempt: { count: 1 } }
            do:
              - handled:
                  set: { x: 2 }
    """
    When the workflow is executed
    Then the workflow should complete
    And the lifecycle should be:
    """yaml
    - skipped skipped
    - guarded started
    - fails started
    - fails faulted 418
    - guarded retrying 1 after 1s
    - fails started
    - fails faulted 418
    - handled started
    - handled completed
    - guarded completed
    """
