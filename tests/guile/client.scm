;;; A Goblins peer that enlivens one URI and tries all it can with the object that it finds there.
;;;
;;;   guile -L /scripts /scripts/client.scm URI [CHECK ...]
;;;
;;; Prints `ok NAME` or `FAIL NAME reason` per check, then `DONE`; exits with the number of failures. Without
;;; names it makes all checks, in order.
;;;
;;; The object must understand (names as on the wire; in Python, an underscore for each hyphen):
;;;
;;;   echo arg ...     -> list of the arguments, references and promises included
;;;   greet ref        -> calls ref with "Hello" (no method name) and answers what that answers
;;;   make-adder n     -> a fresh object that, called with a number m (no method name), answers n + m
;;;   fail text        -> fails, with an exception that says text
;;;   refuse value     -> breaks the promise with that plain value
;;;   labelled #:flavour value -> value, taken as a keyword argument
;;;   later value      -> a promise of value, fulfilled a moment later
;;;   count            -> 1, 2, 3 and so on: how often it was asked
;;;   is-same a b      -> whether a and b are the same reference
;;;   hold ref         -> keeps ref, answers the symbol holding
;;;   poke arg ...     -> sends arg ... to the reference that it keeps and answers what that answers
;;;   drop             -> keeps it no longer, answers the symbol dropped

(use-modules (goblins)
             (goblins actor-lib joiners)
             (goblins actor-lib methods)
             (goblins actor-lib timers)
             (goblins ocapn captp)
             (goblins ocapn ids)
             (goblins ocapn netlayer tcp-tls)
             (goblins ocapn netlayer websocket)
             (ice-9 exceptions)
             (ice-9 match)
             (passable)
             (srfi srfi-11))

(define patience 20)                    ; seconds per check

(define vat (spawn-vat #:name "client"))

(define (^friend bcom)
  (lambda (greeting) (string-append greeting " yourself")))

(define (^echo bcom)
  (lambda args args))

(define (spawn-pending)
  (let-values (((promise resolver) (spawn-promise-and-resolver)))
    (cons promise resolver)))

;; A check is a name and a procedure of the object that answers a promise of #t, or of what it got instead.

(define (expect promise wanted)
  (on promise
      (lambda (got) (or (same? got wanted) (list 'got got 'wanted wanted)))
      #:promise? #t))

(define (expect-break promise fits?)
  (on promise
      (lambda (got) (list 'fulfilled got))
      #:catch (lambda (problem) (or (fits? problem) (list 'broken problem)))
      #:promise? #t))

(define (check-of-value name value)
  (cons (symbol-append 'echo- name)
        (lambda (object) (expect (<- object 'echo value) (list value)))))

(define (check-order object)
  (let ((first (<- object 'count)) (second (<- object 'count)) (third (<- object 'count)))
    (on (all-of first second third)
        (match-lambda
          ((a b c) (or (and (= b (+ a 1)) (= c (+ a 2))) (list 'out 'of 'order a b c))))
        #:promise? #t)))

(define (check-pipelining object)
  (let ((adder (<- object 'make-adder 5)))
    (on (all-of (<- adder 3) (<- adder -5) (<- (<- object 'make-adder 0.5) 1))
        (lambda (got) (or (equal? got '(8 0 1.5)) got))
        #:promise? #t)))

(define (check-pipelining-into-failure object)
  (expect-break (<- (<- object 'fail "no car today") 'drive) (const #t)))

(define (check-resolving-argument object)
  (match (spawn-pending)
    ((promise . resolver)
     (let ((answer (<- object 'greet promise)))
       (<-np resolver 'fulfill (spawn ^friend))
       (expect answer "Hello yourself")))))

(define (check-breaking-argument object)
  (match (spawn-pending)
    ((promise . resolver)
     (let ((answer (<- object 'greet promise)))
       (<-np resolver 'break "changed my mind")
       (expect-break answer (const #t))))))

(define (check-own-reference-comes-home object)
  (let ((friend (spawn ^friend)))
    (on (<- object 'echo friend)
        (match-lambda ((back) (or (eq? back friend) 'another)))
        #:promise? #t)))

(define (check-their-reference-is-one-object object)
  (on (<- object 'echo object object)
      (match-lambda ((a b) (or (and (eq? a object) (eq? b object)) 'another)))
      #:promise? #t))

(define (check-identity object)
  (let ((friend (spawn ^friend)))
    (on (all-of (<- object 'is-same friend friend)
                (<- object 'is-same friend (spawn ^friend)))
        (lambda (got) (or (equal? got '(#t #f)) got))
        #:promise? #t)))

(define (check-one-way object)
  (<-np object 'hold (spawn ^friend))
  (expect (<- object 'poke "One way") "One way yourself"))

(define (check-holding object)
  (on (<- object 'hold (spawn ^echo))
      (lambda (_)
        (expect (<- object 'poke 'again "and" 2) '(again "and" 2)))
      #:promise? #t))

;; The peer lets go of an object that nobody else holds, says so, and then it can be collected here.
(define cradle (make-guardian))

(define (check-their-garbage object)
  (let ((friend (spawn ^friend)))
    (cradle friend)
    (on (<- object 'hold friend)
        (lambda (_)
          (on (<- object 'drop) (lambda (_) (wait-for-cradle 60)) #:promise? #t))
        #:promise? #t)))

(define (wait-for-cradle tries)
  (gc)
  (cond ((cradle) #t)
        ((zero? tries) "still held by the peer")
        (else (on (timeout 0.25) (lambda (_) (wait-for-cradle (- tries 1))) #:promise? #t))))

;; We let go of many objects of theirs. What the peer makes of it, the peer knows; here it must go on working.
(define (check-our-garbage object)
  (on (all-of* (map (lambda (n) (<- object 'make-adder n)) (iota 20)))
      (lambda (_)
        (gc)
        (on (timeout 2.5)
            (lambda (_) (gc) (expect (<- (<- object 'make-adder 1) 1) 2))
            #:promise? #t))
      #:promise? #t))

(define checks
  `(,@(map (match-lambda ((name . value) (check-of-value name value))) passables)
    (echo-nothing . ,(lambda (object) (expect (<- object 'echo) '())))
    (echo-everything
     . ,(lambda (object)
          (let ((all (map cdr passables))) (expect (apply <- object 'echo all) all))))
    (order . ,check-order)
    (pipelining . ,check-pipelining)
    (pipelining-into-failure . ,check-pipelining-into-failure)
    (labelled . ,(lambda (object) (expect (<- object 'labelled #:flavour "sweet") "sweet")))
    (later . ,(lambda (object) (expect (<- object 'later 'worth-waiting) 'worth-waiting)))
    (fail . ,(lambda (object) (expect-break (<- object 'fail "on purpose") (const #t))))
    (refuse-string
     . ,(lambda (object) (expect-break (<- object 'refuse "no") (lambda (p) (equal? p "no")))))
    (refuse-symbol
     . ,(lambda (object) (expect-break (<- object 'refuse 'no) (lambda (p) (eq? p 'no)))))
    (no-such-method . ,(lambda (object) (expect-break (<- object 'no-such-method) (const #t))))
    (called-back . ,(lambda (object) (expect (<- object 'greet (spawn ^friend)) "Hello yourself")))
    (promise-argument . ,check-resolving-argument)
    (broken-argument . ,check-breaking-argument)
    (comes-home . ,check-own-reference-comes-home)
    (one-object . ,check-their-reference-is-one-object)
    (identity . ,check-identity)
    (one-way . ,check-one-way)
    (holding . ,check-holding)
    (their-garbage . ,check-their-garbage)
    (our-garbage . ,check-our-garbage)))

;; Runs on the main thread, which is no vat: results come over in a box, looked at until patience ends.

(define (outcome make-promise)
  (define box #f)
  (define (put! what) (set! box (list what)))
  (with-vat vat
    (on (make-promise)
        (lambda (got) (put! got))
        #:catch (lambda (problem) (put! (list 'broken problem)))))
  (let loop ((ticks (* patience 100)))
    (cond (box (car box))
          ((zero? ticks) 'no-answer)
          (else (usleep 10000) (loop (- ticks 1))))))

(define (make-check object)
  (match-lambda
    ((name . check)
     (let ((got (with-exception-handler
                    (lambda (problem) (list 'raised problem))
                  (lambda () (outcome (lambda () (check object))))
                  #:unwind? #t)))
       (if (eq? got #t)
           (tell "ok" (symbol->string name))
           (tell "FAIL" (symbol->string name) (say got)))
       (eq? got #t)))))

(define (spawn-netlayer uri)
  (if (string-contains uri ".websocket/")
      (spawn ^websocket-netlayer #:encrypted? #f #:verify-certificates? #f)
      (spawn ^tcp-tls-netlayer "127.0.0.1")))

(define (enliven uri)
  (let ((mycapn (with-vat vat (spawn-mycapn (spawn-netlayer uri)))))
    (outcome (lambda () (<- mycapn 'enliven (string->ocapn-id uri))))))

(define (chosen names)
  (if (null? names)
      checks
      (filter (lambda (check) (memq (car check) names)) checks)))

(match (command-line)
  ((_ uri . names)
   (let ((object (enliven uri)))
     (unless (remote-refr? object)
       (tell "FAIL" "enliven" (say object))
       (primitive-_exit 1))
     (tell "ok" "enliven")
     (let ((results (map (make-check object) (chosen (map string->symbol names)))))
       (tell "DONE")
       (primitive-_exit (min 100 (length (filter not results))))))))
