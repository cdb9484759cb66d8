"""What a judgement is written as: tables for people, and the forms that CI systems read."""
