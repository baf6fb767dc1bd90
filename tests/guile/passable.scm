;;; What both scripts know: one value of every passable kind, by name, and when two of them are the same.

(define-module (passable)
  #:use-module (goblins)
  #:use-module (goblins abstract-types)
  #:use-module (goblins utils ghash)
  #:use-module (ice-9 match)
  #:use-module (rnrs bytevectors)
  #:use-module (srfi srfi-1)
  #:export (passables say same? tell))

(define (make-dict . keys+values)
  (let loop ((rest keys+values) (dict (make-ghash)))
    (match rest
      (() dict)
      ((key value . rest) (loop rest (ghash-set dict key value))))))

(define (make-set . items)
  (fold (lambda (item set) (gset-add set item)) (make-gset) items))

(define passables
  `((zero . 0)
    (small . 7)
    (negative . -12)
    (big . ,(expt 7 200))
    (big-negative . ,(- (expt 2 400)))
    (float . 1.5)
    (minus-zero . -0.0)
    (infinity . ,(inf))
    (minus-infinity . ,(- (inf)))
    (nan . ,(nan))
    (true . #t)
    (false . #f)
    (string . "plain")
    (string-empty . "")
    (string-unicode . "Grüße, 世界 🦝")
    (symbol . rutabaga)
    (symbol-unicode . größe)
    (bytes . ,(u8-list->bytevector '(0 1 2 127 128 255)))
    (bytes-empty . ,(make-bytevector 0))
    (list . (1 "two" three))
    (list-empty . ())
    (list-nested . (1 (2 (3 ())) #t))
    (dict . ,(make-dict "one" 1 'two 2 3 "three"))
    (dict-empty . ,(make-dict))
    (set . ,(make-set 1 "one" 'one))
    (set-empty . ,(make-set))
    (void . ,*unspecified*)
    (keyword . (#:flavour "sweet"))     ; in a list, since among arguments it would name one
    (vector . #(1 "two" three))
    (pair . (1 . "two"))
    (tagged . ,(make-tagged 'colour "green"))))

;; Is what came back (first) what was sent? Equal, but told apart where Scheme is generous (numbers) and
;; compared by content where it is strict
;; (sets, dictionaries, tagged values). References are the same if they are eq. A vector may come back as a
;; list, for peers that have one kind of sequence.
(define (same? a b)
  (cond
   ((and (pair? a) (pair? b))
    (and (same? (car a) (car b)) (same? (cdr a) (cdr b))))
   ((vector? b)
    (same? (if (vector? a) (vector->list a) a) (vector->list b)))
   ((and (gset? a) (gset? b))
    (lset= same? (gset->list a) (gset->list b)))
   ((and (ghash? a) (ghash? b))
    (lset= same? (entries a) (entries b)))
   ((and (tagged? a) (tagged? b))
    (and (same? (tagged-label a) (tagged-label b))
         (same? (tagged-data a) (tagged-data b))))
   (else (or (eq? a b) (equal? a b)))))

(define (entries dict)
  (ghash-fold (lambda (key value rest) (cons (list key value) rest)) '() dict))

;; One line at once, from whichever thread.
(define (tell . words)
  (display (string-append (string-join words " ") "\n"))
  (force-output))

(define (say value)
  (string-map (lambda (c) (if (char=? c #\newline) #\space c))
              (call-with-output-string (lambda (port) (write value port)))))
